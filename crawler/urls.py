app_name = "crawler"
urlpatterns: list = []
